//! Files into tables, exactly once, on a real database and a real spool.

mod besides;
mod desk;
mod files;
mod overlaps;
mod rows;
