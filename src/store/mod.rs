//! The consent store: embedded or Redis, with the cache in front.
