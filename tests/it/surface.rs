//! What others can get at: the program's memory, its files, its connections, and the eyes of
//! whoever reads what it shows of a stranger's mail.

mod connections;
mod files;
mod memory;
mod shown;
