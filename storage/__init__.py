"""What is remembered: the SQL schema, its migrations and the result store."""
