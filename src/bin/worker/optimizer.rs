//! AdamW and SGD by libtorch's fused kernels, with state that can be saved.

use overnight::experiment::settings;
use tch::{TchError, Tensor};

use crate::task::{ModelTensor, Role};
use crate::torch_ext::{self, AdamwNumbers, SgdNumbers, TensorList};

/// An optimizer over all parameters of a model. Parameters that decay and those that do not are two
/// groups, because a fused kernel has one set of numbers.
pub struct Optimizer {
    settings: settings::Optimizer,
    groups: Vec<Group>,
    /// All parameters, for what does not care about groups.
    parameters: TensorList,
}

struct Group {
    weight_decay: f64,
    names: Vec<String>,
    parameters: TensorList,
    /// AdamW: the averages of the gradient, then of its square. SGD: the momenta.
    averages: Vec<TensorList>,
}

impl Optimizer {
    /// Starts with averages of zero for every tensor of the model that is trained.
    pub fn new(settings: &settings::Optimizer, model: &[ModelTensor]) -> Result<Optimizer, TchError> {
        let (weight_decay, decay_embeddings) = match settings {
            settings::Optimizer::Adamw(adamw) => (adamw.weight_decay, adamw.decay_embeddings),
            settings::Optimizer::Sgd(sgd) => (sgd.weight_decay, sgd.decay_embeddings),
        };
        let decays = |tensor: &ModelTensor| match tensor.role {
            Role::Weight => true,
            Role::Embedding => decay_embeddings,
            Role::BiasOrNorm | Role::Buffer => false,
        };
        let trained = || model.iter().filter(|tensor| tensor.role != Role::Buffer);
        let kinds_of_averages = kinds_of_averages(settings);
        let mut groups = Vec::new();
        for (decay, weight_decay) in [(true, weight_decay), (false, 0.0)] {
            let members: Vec<&ModelTensor> = trained().filter(|tensor| decays(tensor) == decay).collect();
            let zeros = || members.iter().map(|member| member.tensor.detach().f_zeros_like());
            let averages =
                kinds_of_averages.iter().map(|_| zeros().collect::<Result<_, _>>().map(TensorList::new));
            groups.push(Group {
                weight_decay,
                names: members.iter().map(|member| member.name.clone()).collect(),
                averages: averages.collect::<Result<_, TchError>>()?,
                parameters: TensorList::new(
                    members.iter().map(|member| member.tensor.shallow_clone()).collect(),
                ),
            });
        }
        let parameters = TensorList::new(trained().map(|tensor| tensor.tensor.shallow_clone()).collect());
        Ok(Optimizer { settings: settings.clone(), groups, parameters })
    }

    pub fn parameters(&self) -> &TensorList {
        &self.parameters
    }

    /// Moves the parameters along their gradients, clipped to a norm of `clip` where that is above
    /// zero. `step` counts from 1. Gives the norm before clipping, a scalar on the device.
    pub fn step(&self, step: u64, lr: f64, clip: f64) -> Result<Tensor, TchError> {
        let gradient = torch_ext::grad_norm(&self.parameters, clip)?;
        let scale = gradient.scale.as_ref();
        for group in &self.groups {
            let (parameters, weight_decay) = (&group.parameters, group.weight_decay);
            match &self.settings {
                settings::Optimizer::Adamw(adamw) => {
                    let numbers = AdamwNumbers { lr, betas: adamw.betas, eps: adamw.eps, weight_decay };
                    let [averages, squares] = &group.averages[..] else {
                        unreachable!("AdamW has two averages")
                    };
                    torch_ext::fused_adamw(parameters, averages, squares, step, &numbers, scale)?;
                }
                settings::Optimizer::Sgd(sgd) => {
                    let (momentum, nesterov) = (sgd.momentum, sgd.nesterov);
                    let numbers = SgdNumbers { lr, momentum, weight_decay, nesterov };
                    torch_ext::fused_sgd(parameters, &group.averages[0], &numbers, scale)?;
                }
            }
        }
        Ok(gradient.norm)
    }

    /// Every tensor that a resumed run needs, named `exp_avg.<parameter>`, `exp_avg_sq.<parameter>`
    /// or `momentum.<parameter>`.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let kinds = kinds_of_averages(&self.settings);
        let mut tensors = Vec::new();
        for group in &self.groups {
            for (kind, averages) in kinds.iter().zip(&group.averages) {
                for (name, average) in group.names.iter().zip(averages.tensors()) {
                    tensors.push((format!("{kind}.{name}"), average.shallow_clone()));
                }
            }
        }
        tensors
    }
}

fn kinds_of_averages(settings: &settings::Optimizer) -> &'static [&'static str] {
    match settings {
        settings::Optimizer::Adamw(_) => &["exp_avg", "exp_avg_sq"],
        settings::Optimizer::Sgd(_) => &["momentum"],
    }
}
