//! Places in text, mistakes, and the values everything else is made of.
//!
//! This is the lowest room: it imports nothing of this crate.

mod columns;
mod mistake;
mod time;
mod value;

pub use columns::{Align, Columns};
pub use mistake::{Mistake, Span, cite_all};
pub use time::{Period, Timestamp, human_duration, parse_duration};
pub use value::{Family, Host, NodeId, ProgramName, ToolName, ToolPath, word_fault};
