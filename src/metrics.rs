//! Counters and histograms; labels are closed enums from below.
