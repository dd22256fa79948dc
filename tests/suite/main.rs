fn main() {}
mod report;
mod serve;
