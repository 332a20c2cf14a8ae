-- Takes its indexes with it. A table set aside as request_logs_python stays where it is.
DROP TABLE request_logs;
