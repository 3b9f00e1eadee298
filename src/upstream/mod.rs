//! The only door to the provider: connection pool and headers.
