//! Two clocks do not go alike.
