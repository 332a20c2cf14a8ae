DROP TABLE key_rests;
