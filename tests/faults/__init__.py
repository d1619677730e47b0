"""Tests in which I/O fails, and in which processes and greenlets are killed."""
