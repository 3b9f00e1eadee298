//! File, environment and flags to every component's Settings; all problems reported together.
