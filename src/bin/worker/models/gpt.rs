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
        for (part, kind) in [("ln_1", "norm"), ("attn", "attention"), ("ln_2", "norm"), ("mlp", "feed-forward")] {
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
