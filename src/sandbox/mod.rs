//! A local stand-in for Meta's API; shares no parsing code with wire/.
