//! The consumer as a whole.

mod real;
