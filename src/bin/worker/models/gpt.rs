//! GPT: a decoder-only transformer with pre-norm blocks, learned positions and a head tied to the
//! token embedding (Radford et al., 2019). Names and layout of the tensors are nanoGPT's.

use super::layers::{LayerNorm, Linear, Start, dropout};
use super::{Mode, Tensors};
use crate::task::{Role, TaskError, Watch};
use tch::{TchError, Tensor};

/// Deviation of GPT-2's starting weights.
const DEVIATION: f64 = 0.02;

/// The size of a GPT.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GptSettings {
    /// How many different tokens there are.
    pub vocabulary: i64,
    pub layers: i64,
    /// Attention heads; the width is a multiple of it.
    pub heads: i64,
    /// Width of the residual stream.
    pub width: i64,
    /// The most tokens a forward pass takes.
    pub context: i64,
    /// Probability that a value is dropped in training, 0 to 1.
    pub dropout: f64,
    /// Whether linear layers and norms have biases.
    pub bias: bool,
}

pub struct Gpt {
    settings: GptSettings,
    token_embedding: Tensor,
    position_embedding: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Gpt {
    pub fn new(tensors: &mut Tensors, settings: GptSettings) -> Result<Self, TaskError> {
        let GptSettings { width, bias, .. } = settings;
        let mut embedding = |name: &str, rows| {
            tensors.layer(name, "embedding");
            let name = format!("{name}.weight");
            tensors.normal(name, &[rows, width], DEVIATION, Role::Embedding)
        };
        let token_embedding = embedding("transformer.wte", settings.vocabulary)?;
        let position_embedding = embedding("transformer.wpe", settings.context)?;
        let blocks = (0..settings.layers)
            .map(|number| Block::new(tensors, number, settings))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            settings,
            token_embedding,
            position_embedding,
            blocks,
            norm: LayerNorm::new(tensors, "transformer.ln_f", width, bias)?,
        })
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

    pub fn context(&self) -> i64 {
        self.settings.context
    }

    fn hidden(&self, tokens: &Tensor, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let length = tokens.size()[1];
        let positions = match length == self.settings.context {
            true => self.position_embedding.shallow_clone(),
            false => self.position_embedding.f_narrow(0, 0, length)?,
        };
        let hidden =
            Tensor::f_embedding(&self.token_embedding, tokens, -1, false, false)?.f_add(&positions)?;
        let mut hidden = dropout(hidden, self.settings.dropout, mode)?;
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
    settings: GptSettings,
    attention_norm: LayerNorm,
    query_key_value: Linear,
    attention_projection: Linear,
    mlp_norm: LayerNorm,
    expand: Linear,
    mlp_projection: Linear,
}

impl Block {
    fn new(tensors: &mut Tensors, number: i64, settings: GptSettings) -> Result<Self, TaskError> {
        let GptSettings { width, bias, .. } = settings;
        let name = |part: &str| format!("transformer.h.{number}.{part}");
        // Each layer adds to the residual stream twice; so scaled, its variance at the end does not
        // grow with depth.
        let projection = DEVIATION / ((2 * settings.layers) as f64).sqrt();
        let mut linear = |part: &str, sizes, deviation| {
            Linear::new(tensors, &name(part), sizes, Start::Normal(deviation), bias)
        };
        let (wide, deviation) = (4 * width, DEVIATION);
        let query_key_value = linear("attn.c_attn", [width, 3 * width], deviation)?;
        let attention_projection = linear("attn.c_proj", [width, width], projection)?;
        let expand = linear("mlp.c_fc", [width, wide], deviation)?;
        let mlp_projection = linear("mlp.c_proj", [wide, width], projection)?;
        Ok(Self {
            settings,
            attention_norm: LayerNorm::new(tensors, &name("ln_1"), width, bias)?,
            query_key_value,
            attention_projection,
            mlp_norm: LayerNorm::new(tensors, &name("ln_2"), width, bias)?,
            expand,
            mlp_projection,
        })
    }

    fn forward(&self, input: &Tensor, number: usize, mode: Mode, watch: Watch) -> Result<Tensor, TchError> {
        let attended = self.attention(&self.attention_norm.forward(input)?, mode)?;
        watch.see(|| format!("h.{number}.attn"), &attended);
        let middle = input.f_add(&attended)?;
        let expanded = self.expand.forward(&self.mlp_norm.forward(&middle)?)?;
        let projected = self.mlp_projection.forward(&expanded.f_gelu("none")?)?;
        let projected = dropout(projected, self.settings.dropout, mode)?;
        watch.see(|| format!("h.{number}.mlp"), &projected);
        middle.f_add(&projected)
    }

    fn attention(&self, input: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let GptSettings { heads, width, .. } = self.settings;
        let (batch, length) = (input.size()[0], input.size()[1]);
        // One split, whose gradient is one concatenation; three slices would each fill a whole
        // gradient with zeros.
        let parts = self.query_key_value.forward(input)?.f_split(width, 2)?;
        let by_head = |part: &Tensor| part.f_view([batch, length, heads, width / heads])?.f_transpose(1, 2);
        let probability = match mode {
            Mode::Training => self.settings.dropout,
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
        dropout(projected, self.settings.dropout, mode)
    }
}
