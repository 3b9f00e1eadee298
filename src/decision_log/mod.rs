//! One event for every decision: event, guard, sinks.
