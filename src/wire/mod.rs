//! Providers' wire formats: recognising sends, reading recipients, classifying, rendering refusals.
