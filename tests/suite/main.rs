fn main() {}
mod live;
mod serve;
