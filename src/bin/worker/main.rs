mod data;
mod generate;
mod models;
mod task;
mod tasks;
mod torch_ext;

fn main() {}
