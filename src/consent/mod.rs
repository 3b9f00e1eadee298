//! The words of consent: numbers, recipients, categories, events, records, reasons. No I/O, no async.
