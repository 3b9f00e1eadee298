//! Listening: sockets, TLS, framing, draining. Knows no consent and no WhatsApp.
