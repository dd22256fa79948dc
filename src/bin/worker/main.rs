mod models;
mod task;
mod torch_ext;

fn main() {
    println!("{}", tch::Tensor::from(1.0).double_value(&[]));
    let p = torch_ext::TensorList::new(vec![
        tch::Tensor::ones([4], (tch::Kind::Float, tch::Device::Cpu)).set_requires_grad(true),
    ]);
    (p.tensors()[0].sum(tch::Kind::Float) * 3.0).backward();
    let n = torch_ext::grad_norm(&p, 1.0).unwrap();
    n.norm.print();
    n.scale.as_ref().unwrap().print();
    let z = |shape: &[i64]| {
        torch_ext::TensorList::new(vec![tch::Tensor::zeros(shape, (tch::Kind::Float, tch::Device::Cpu))])
    };
    let (a, s, k) = (z(&[4]), z(&[4]), z(&[]));
    torch_ext::fused_adamw(
        &p,
        &a,
        &s,
        &k,
        &torch_ext::AdamwNumbers { lr: 0.1, betas: [0.9, 0.99], eps: 1e-8, weight_decay: 0.1 },
        n.scale.as_ref(),
    )
    .unwrap();
    p.tensors()[0].print();
    a.tensors()[0].print();
    k.tensors()[0].print();
    torch_ext::drop_gradients(&p).unwrap();
    println!("{:?}", torch_ext::grad_norm(&p, 1.0).err());
    torch_ext::load_cuda().err().map(|e| println!("{e}"));
}
