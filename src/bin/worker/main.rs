mod models;
mod task;
fn main() {
    println!("{}", tch::Tensor::from(1.0).double_value(&[]));
}
