//! What clients in the field send, byte for byte: old versions and none, chunked bodies, every way to write a number, batches.
