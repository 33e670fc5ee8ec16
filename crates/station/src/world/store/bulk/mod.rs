//! Whole tables, row by row in the order of their keys, whatever their columns are: for who copies them.
//!
//! Which tables and columns there are is asked of the database itself, so that none that a later schema
//! brings is ever left out. SQL is made of their names here, and nowhere else.

mod rows;
mod table;

pub use rows::{Batch, Cells, Limit, count, delete, insert, is_empty, last_key, rows_after};
pub(super) use table::Found;
pub use table::{Table, differences, key_order, of_station};
