//! National numbering plans: which readings a bare number has. Metadata from a kept library, off the hot path.
