//! What a failure means for the key and for the request.
