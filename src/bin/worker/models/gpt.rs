//! GPT: a decoder-only transformer with pre-norm blocks, learned positions and a head tied to the
//! token embedding (Radford et al., 2019). Names and layout of the tensors are nanoGPT's.

use super::layers::{LayerNorm, Linear, Start, dropout};
use super::{Mode, Tensors};
use crate::task::{Role, TaskError, Watch};
use overnight::experiment::settings;
use tch::{TchError, Tensor};

/// Deviation of GPT-2's starting weights.
const DEVIATION: f64 = 0.02;

pub struct Gpt {
    settings: settings::Gpt,
    token_embedding: Tensor,
    position_embedding: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Gpt {
    /// A GPT for `vocabulary` different tokens; the width is a multiple of the heads.
    pub fn new(tensors: &mut Tensors, settings: &settings::Gpt, vocabulary: i64) -> Result<Self, TaskError> {
        let (context, width) = (i64::from(settings.context), i64::from(settings.width));
        let mut embedding = |name: &str, rows| {
            tensors.layer(name, "embedding", &[context, width]);
            let name = format!("{name}.weight");
            tensors.normal(name, &[rows, width], DEVIATION, Role::Embedding)
        };
        let token_embedding = embedding("transformer.wte", vocabulary)?;
        let position_embedding = embedding("transformer.wpe", context)?;
        let blocks = (0..settings.layers)
            .map(|number| Block::new(tensors, number, settings))
            .collect::<Result<_, _>>()?;
        tensors.layer("transformer.ln_f", "norm", &[context, width]);
        let norm = LayerNorm::new(tensors, "transformer.ln_f", width, settings.bias)?;
        // Listed for its output: its weight is the token embedding's.
        tensors.layer("lm_head", "linear, tied to transformer.wte", &[context, vocabulary]);
        Ok(Self { settings: settings.clone(), token_embedding, position_embedding, blocks, norm })
    }

    /// Logits `[batch, length, vocabulary]` for the token after each of `tokens` (int64, `[batch,
    /// length]`, the length at most the context).
    pub fn forward(&self, tokens: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let hidden = self.hidden(tokens, mode, watch)?;
        self.head(&hidden, watch)
    }

    /// Logits `[batch, vocabulary]` for the token after the last one, for sampling: the head is a
    /// large part of a small model, and only its last row is wanted.
    pub fn forward_last(&self, tokens: &Tensor) -> Result<Tensor, TchError> {
        let hidden = self.hidden(tokens, Mode::Inference, Watch::NOBODY)?;
        self.head(&hidden.f_select(1, -1)?, Watch::NOBODY)
    }

    /// The most tokens a forward pass takes.
    pub fn context(&self) -> i64 {
        self.settings.context.into()
    }

    fn hidden(&self, tokens: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let length = tokens.size()[1];
        let positions = match length == i64::from(self.settings.context) {
            true => self.position_embedding.shallow_clone(),
            false => self.position_embedding.f_narrow(0, 0, length)?,
        };
        let tokens = Tensor::f_embedding(&self.token_embedding, tokens, -1, false, false)?;
        let mut hidden = dropout(tokens.f_add(&positions)?, self.settings.dropout, mode)?;
        watch.see(|| "embedding".to_owned(), &hidden);
        for (number, block) in self.blocks.iter().enumerate() {
            hidden = block.forward(&hidden, number, mode, watch)?;
        }
        self.norm.forward(&hidden)
    }

    /// The head has no weight of its own: it is the token embedding, used the other way round.
    fn head(&self, hidden: &Tensor, watch: Watch) -> Result<Tensor, TchError> {
        let logits = hidden.f_linear(&self.token_embedding, None::<&Tensor>)?;
        watch.see(|| "logits".to_owned(), &logits);
        Ok(logits)
    }
}

struct Block {
    heads: i64,
    width: i64,
    dropout: f64,
    attention_norm: LayerNorm,
    query_key_value: Linear,
    attention_projection: Linear,
    mlp_norm: LayerNorm,
    expand: Linear,
    mlp_projection: Linear,
}

impl Block {
    fn new(tensors: &mut Tensors, number: u32, settings: &settings::Gpt) -> Result<Self, TaskError> {
        let (context, width, bias) = (i64::from(settings.context), i64::from(settings.width), settings.bias);
        let name = |part: &str| format!("transformer.h.{number}.{part}");
        for (part, kind) in
            [("ln_1", "norm"), ("attn", "attention"), ("ln_2", "norm"), ("mlp", "feed-forward")]
        {
            tensors.layer(&name(part), kind, &[context, width]);
        }
        // Each layer adds to the residual stream twice; so scaled, its variance at the end does not
        // grow with depth.
        let projection = DEVIATION / f64::from(2 * settings.layers).sqrt();
        let linear = |tensors: &mut Tensors, part: &str, sizes, deviation| {
            Linear::new(tensors, &name(part), sizes, Start::Normal(deviation), bias)
        };
        // The order here is the order of the list of tensors: as data flows.
        Ok(Self {
            heads: i64::from(settings.heads),
            width,
            dropout: settings.dropout,
            attention_norm: LayerNorm::new(tensors, &name("ln_1"), width, bias)?,
            query_key_value: linear(tensors, "attn.c_attn", [width, 3 * width], DEVIATION)?,
            attention_projection: linear(tensors, "attn.c_proj", [width, width], projection)?,
            mlp_norm: LayerNorm::new(tensors, &name("ln_2"), width, bias)?,
            expand: linear(tensors, "mlp.c_fc", [width, 4 * width], DEVIATION)?,
            mlp_projection: linear(tensors, "mlp.c_proj", [4 * width, width], projection)?,
        })
    }

    fn forward(&self, input: &Tensor, number: usize, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let attended = self.attention(&self.attention_norm.forward(input)?, mode)?;
        watch.see(|| format!("h.{number}.attn"), &attended);
        let middle = input.f_add(&attended)?;
        let expanded = self.expand.forward(&self.mlp_norm.forward(&middle)?)?;
        let projected = self.mlp_projection.forward(&expanded.f_gelu("none")?)?;
        let projected = dropout(projected, self.dropout, mode)?;
        watch.see(|| format!("h.{number}.mlp"), &projected);
        middle.f_add(&projected)
    }

    fn attention(&self, input: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let Self { heads, width, .. } = *self;
        let (batch, length) = (input.size()[0], input.size()[1]);
        // One split, whose gradient is one concatenation; three slices would each fill a whole
        // gradient with zeros.
        let parts = self.query_key_value.forward(input)?.f_split(width, 2)?;
        let by_head = |part: &Tensor| part.f_view([batch, length, heads, width / heads])?.f_transpose(1, 2);
        let probability = match mode {
            Mode::Training => self.dropout,
            Mode::Inference => 0.0,
        };
        let attended = Tensor::f_scaled_dot_product_attention(
            &by_head(&parts[0])?,
            &by_head(&parts[1])?,
            &by_head(&parts[2])?,
            None::<&Tensor>,
            probability,
            true,
            None,
            false,
        )?;
        let joined = attended.f_transpose(1, 2)?.f_reshape([batch, length, width])?;
        let projected = self.attention_projection.forward(&joined)?;
        dropout(projected, self.dropout, mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::seeded;
    use std::collections::HashMap;
    use tch::{Device, Kind, Reduction};

    fn model(settings: &settings::Gpt, vocabulary: i64) -> (Gpt, Tensors) {
        let mut tensors = Tensors::new(Device::Cpu);
        let model = Gpt::new(&mut tensors, settings, vocabulary).unwrap();
        (model, tensors)
    }

    fn small(bias: bool) -> settings::Gpt {
        settings::Gpt { layers: 2, heads: 2, width: 8, context: 6, dropout: 0.0, bias }
    }

    fn some_tokens(vocabulary: i64) -> Tensor {
        Tensor::randint(vocabulary, [3, 6], (Kind::Int64, Device::Cpu))
    }

    fn logits(model: &Gpt, tokens: &Tensor) -> Tensor {
        model.forward(tokens, Mode::Inference, Watch::NOBODY).unwrap()
    }

    /// GPT written out from its description, head by head, with nothing fused.
    fn plainly(tensors: &Tensors, settings: &settings::Gpt, tokens: &Tensor) -> Tensor {
        let named: HashMap<String, Tensor> =
            tensors.list().into_iter().map(|one| (one.name, one.tensor)).collect();
        let get = |name: &str| named[&format!("transformer.{name}.weight")].shallow_clone();
        let bias = |name: &str| named.get(&format!("transformer.{name}.bias")).map(Tensor::shallow_clone);
        let norm = |x: &Tensor, name: &str| {
            let centered = x - x.mean_dim(-1, true, Kind::Float);
            let variance = (&centered * &centered).mean_dim(-1, true, Kind::Float);
            let scaled = centered / (variance + 1e-5).sqrt() * get(name);
            bias(name).map_or(scaled.shallow_clone(), |bias| scaled + bias)
        };
        let linear = |x: &Tensor, name: &str| {
            let y = x.matmul(&get(name).transpose(0, 1));
            bias(name).map_or(y.shallow_clone(), |bias| y + bias)
        };
        let (length, width) = (tokens.size()[1], i64::from(settings.width));
        let head_width = width / i64::from(settings.heads);
        let hidden_future = Tensor::ones([length, length], (Kind::Bool, Device::Cpu)).triu(1);
        let mut x = get("wte").index_select(0, &tokens.flatten(0, -1)).view([-1, length, width])
            + get("wpe").narrow(0, 0, length);
        for layer in 0..settings.layers {
            let part = |name: &str| format!("h.{layer}.{name}");
            let all = linear(&norm(&x, &part("ln_1")), &part("attn.c_attn"));
            let heads: Vec<Tensor> = (0..i64::from(settings.heads))
                .map(|head| {
                    let slice = |which| all.narrow(2, which * width + head * head_width, head_width);
                    let scores = slice(0).matmul(&slice(1).transpose(1, 2)) / (head_width as f64).sqrt();
                    let weights =
                        scores.masked_fill(&hidden_future, f64::NEG_INFINITY).softmax(-1, Kind::Float);
                    weights.matmul(&slice(2))
                })
                .collect();
            x = &x + linear(&Tensor::cat(&heads, 2), &part("attn.c_proj"));
            let wide = linear(&norm(&x, &part("ln_2")), &part("mlp.c_fc"));
            let gelu = &wide * 0.5 * ((&wide / 2f64.sqrt()).erf() + 1.0);
            x = &x + linear(&gelu, &part("mlp.c_proj"));
        }
        norm(&x, "ln_f").matmul(&get("wte").transpose(0, 1))
    }

    #[test]
    fn logits_are_those_of_the_model_written_out_plainly() {
        let _generator = seeded(5);
        for bias in [false, true] {
            let settings = small(bias);
            let (model, tensors) = model(&settings, 11);
            // Biases begin at zero and norms at one: make them matter.
            for one in tensors.list() {
                let _ = tch::no_grad(|| {
                    one.tensor.shallow_clone().f_add_(&(one.tensor.randn_like() * 0.2)).unwrap()
                });
            }
            for tokens in [some_tokens(11), some_tokens(11).narrow(1, 0, 4)] {
                let (ours, plain) = (logits(&model, &tokens), plainly(&tensors, &settings, &tokens));
                assert!(ours.allclose(&plain, 1e-4, 1e-5, false), "differ by {}", (ours - plain).abs().max());
            }
        }
    }

    #[test]
    fn names_shapes_and_count_are_those_of_nanogpt() {
        let _generator = seeded(5);
        let settings =
            settings::Gpt { layers: 4, heads: 4, width: 128, context: 64, dropout: 0.0, bias: false };
        let (_, tensors) = model(&settings, 65);
        assert_eq!(tensors.parameters(), 804_096);
        let listed: Vec<(String, Vec<i64>)> =
            tensors.list().into_iter().map(|one| (one.name, one.tensor.size())).collect();
        let block = |part: &str, shape: &[i64]| (format!("transformer.h.0.{part}.weight"), shape.to_vec());
        assert_eq!(
            listed[..8],
            [
                ("transformer.wte.weight".to_owned(), vec![65, 128]),
                ("transformer.wpe.weight".to_owned(), vec![64, 128]),
                block("ln_1", &[128]),
                block("attn.c_attn", &[384, 128]),
                block("attn.c_proj", &[128, 128]),
                block("ln_2", &[128]),
                block("mlp.c_fc", &[512, 128]),
                block("mlp.c_proj", &[128, 512]),
            ]
        );
        assert_eq!(listed.last().unwrap().0, "transformer.ln_f.weight");
        assert_eq!(listed.len(), 2 + 4 * 6 + 1);
        let layers = tensors.layers();
        assert_eq!(layers.iter().map(|layer| layer.parameters).sum::<u64>(), 804_096);
        let attention = layers.iter().find(|layer| layer.name == "transformer.h.3.attn").unwrap();
        assert_eq!(attention.tensors[0], ("c_attn.weight".to_owned(), vec![384, 128]));
    }

    #[test]
    fn an_untrained_model_is_about_as_wrong_as_a_guess() {
        let _generator = seeded(5);
        let settings =
            settings::Gpt { layers: 4, heads: 4, width: 128, context: 64, dropout: 0.0, bias: true };
        let (model, _) = model(&settings, 65);
        let tokens = Tensor::randint(65, [8, 65], (Kind::Int64, Device::Cpu));
        let logits = logits(&model, &tokens.narrow(1, 0, 64)).view([-1, 65]);
        let targets = tokens.narrow(1, 1, 64).reshape([-1]);
        let loss = logits.cross_entropy_loss::<Tensor>(&targets, None, Reduction::Mean, -100, 0.0);
        let (loss, guess) = (f64::try_from(loss).unwrap(), 65f64.ln());
        assert!((loss - guess).abs() < 0.1, "{loss} is far from {guess}");
    }

    #[test]
    fn the_projections_into_the_residual_stream_begin_smaller_with_depth() {
        let _generator = seeded(5);
        let settings =
            settings::Gpt { layers: 8, heads: 2, width: 128, context: 8, dropout: 0.0, bias: false };
        let (_, tensors) = model(&settings, 65);
        for one in tensors.list() {
            let deviation = f64::try_from(one.tensor.std(false)).unwrap();
            let expected = match one.name.rsplit_once('.').unwrap().0 {
                name if name.ends_with("c_proj") => 0.02 / 4.0,
                name if name.contains("ln_") => 0.0,
                _ => 0.02,
            };
            assert!((deviation - expected).abs() <= 0.05 * expected, "{}: {deviation}", one.name);
        }
    }

    #[test]
    fn a_token_sees_none_after_it() {
        let _generator = seeded(5);
        let (model, _) = model(&small(true), 11);
        let tokens = some_tokens(11);
        let changed = tokens.copy();
        let _ = changed.narrow(1, 4, 2).fill_(3);
        let (before, after) = (logits(&model, &tokens), logits(&model, &changed));
        let first = |all: &Tensor| all.narrow(1, 0, 4);
        assert!(first(&before).allclose(&first(&after), 0.0, 1e-6, false));
        assert!(!before.allclose(&after, 0.0, 1e-6, false));
    }

    #[test]
    fn the_last_row_alone_is_the_last_row_of_all() {
        let _generator = seeded(5);
        let (model, _) = model(&small(false), 11);
        let tokens = some_tokens(11);
        let last = model.forward_last(&tokens).unwrap();
        assert!(last.allclose(&logits(&model, &tokens).select(1, -1), 0.0, 1e-6, false));
    }

    #[test]
    fn dropout_is_for_training_alone() {
        let _generator = seeded(5);
        let (model, _) = model(&settings::Gpt { dropout: 0.5, ..small(true) }, 11);
        let tokens = some_tokens(11);
        assert_eq!(logits(&model, &tokens), logits(&model, &tokens));
        let train = |seed| {
            tch::manual_seed(seed);
            model.forward(&tokens, Mode::Training, Watch::NOBODY).unwrap()
        };
        assert_ne!(train(1), train(2));
        assert_eq!(train(1), train(1));
    }

    #[test]
    fn a_watcher_sees_every_part_in_the_order_of_the_data() {
        let _generator = seeded(5);
        let (model, _) = model(&small(false), 11);
        let seen = std::cell::RefCell::new(Vec::new());
        let observer =
            std::cell::RefCell::new(|name: &str, _: &Tensor| seen.borrow_mut().push(name.to_owned()));
        let _ = model.forward(&some_tokens(11), Mode::Training, Watch::with(&observer)).unwrap();
        assert_eq!(*seen.borrow(), ["embedding", "h.0.attn", "h.0.mlp", "h.1.attn", "h.1.mlp", "logits"]);
    }
}
