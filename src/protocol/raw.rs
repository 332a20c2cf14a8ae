//! A JSON object whose members stay raw bytes.
