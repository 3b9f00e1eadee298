//! Stages identify to decide for one send; the proxy, the check endpoint and tests all call it.
