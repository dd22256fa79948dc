//! Layers to what a person would draw of them: blocks that come several times are told once.

use crate::run_dir::records::Layer;

/// A piece of the model, as data flows through it.
#[derive(Debug, PartialEq)]
pub enum Part<'a> {
    Layer {
        layer: &'a Layer,
        /// Among the model's layers.
        index: usize,
        /// Below the block that it is in: `attn`.
        name: String,
        times: u64,
    },
    /// Layers of one number in a list of blocks, and how many such blocks follow each other.
    Block { name: String, times: u64, parts: Vec<Part<'a>>, layers: usize, parameters: u64 },
}

/// Blocks within blocks beyond these are not looked for.
const DEEPEST: usize = 4;

/// Folds what repeats. Layers belong together where their names agree up to a number between dots, as in
/// `transformer.h.0.attn`; blocks are the same where all below that number is, parameters and shapes too.
pub fn fold(layers: &[Layer]) -> Vec<Part<'_>> {
    let named: Vec<Named> =
        layers.iter().enumerate().map(|(index, layer)| Named { layer, index, name: &layer.name }).collect();
    folded(&named, 0)
}

/// A layer, by its name below the block that is looked at.
#[derive(Clone, Copy)]
struct Named<'a> {
    layer: &'a Layer,
    index: usize,
    name: &'a str,
}

/// A name at its first number: `transformer.h`, `0`, `attn`.
struct Numbered<'a> {
    stem: &'a str,
    number: &'a str,
    below: &'a str,
}

fn folded<'a>(layers: &[Named<'a>], depth: usize) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < layers.len() {
        let Some(first) = numbered(layers[at].name).filter(|_| depth < DEEPEST) else {
            let Named { layer, index, name } = layers[at];
            parts.push(Part::Layer { layer, index, name: name.to_owned(), times: 1 });
            at += 1;
            continue;
        };
        let block = block_at(layers, at);
        let mut end = at + block.len();
        let (mut times, mut last) = (1, first.number);
        while let Some(next) = layers.get(end).and_then(|next| numbered(next.name)) {
            let candidate = block_at(layers, end);
            if next.stem != first.stem || !is_same(&block, &candidate) {
                break;
            }
            last = next.number;
            times += 1;
            end += candidate.len();
        }
        let dotted = if first.stem.is_empty() { "" } else { "." };
        let range = if times > 1 { format!(" … {last}") } else { String::new() };
        let name = format!("{}{dotted}{}{range}", first.stem, first.number);
        match block.as_slice() {
            [only] if only.name.is_empty() || times == 1 => {
                let below = if only.name.is_empty() { String::new() } else { format!(".{}", only.name) };
                parts.push(Part::Layer { layer: only.layer, index: only.index, name: name + &below, times });
            }
            _ => parts.push(Part::Block {
                name,
                times,
                layers: block.len(),
                parameters: block.iter().fold(0, |sum, one| sum.saturating_add(one.layer.parameters)),
                parts: folded(&block, depth + 1),
            }),
        }
        at = end;
    }
    parts
}

/// The layers from here on that share a stem and a number, by their names below it.
fn block_at<'a>(layers: &[Named<'a>], at: usize) -> Vec<Named<'a>> {
    let Some(first) = numbered(layers[at].name) else { return Vec::new() };
    let below = |one: &Named<'a>| {
        let found = numbered(one.name)?;
        let belongs = found.stem == first.stem && found.number == first.number;
        belongs.then_some(Named { name: found.below, ..*one })
    };
    layers[at..].iter().map_while(below).collect()
}

fn is_same(one: &[Named], other: &[Named]) -> bool {
    let alike = |(one, other): (&Named, &Named)| {
        one.name == other.name
            && one.layer.kind == other.layer.kind
            && one.layer.output == other.layer.output
            && one.layer.tensors == other.layer.tensors
            && one.layer.parameters == other.layer.parameters
    };
    one.len() == other.len() && one.iter().zip(other).all(alike)
}

fn numbered(name: &str) -> Option<Numbered<'_>> {
    let mut from = 0;
    for word in name.split('.') {
        let to = from + word.len();
        if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
            let below = name.get(to + 1..).unwrap_or_default();
            let stem = name[..from].trim_end_matches('.');
            return Some(Numbered { stem, number: word, below });
        }
        from = to + 1;
    }
    None
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn layer(name: &str, kind: &str, output: &[i64], tensors: &[(&str, &[i64])]) -> Layer {
        let count = |shape: &[i64]| shape.iter().product::<i64>() as u64;
        Layer {
            name: name.into(),
            kind: kind.into(),
            output: output.to_vec(),
            tensors: tensors.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect(),
            parameters: tensors.iter().map(|(_, shape)| count(shape)).sum(),
        }
    }

    pub fn gpt(blocks: usize) -> Vec<Layer> {
        let mut layers = vec![
            layer("transformer.wte", "embedding", &[64, 128], &[("weight", &[65, 128])]),
            layer("transformer.wpe", "embedding", &[64, 128], &[("weight", &[64, 128])]),
        ];
        for number in 0..blocks {
            let name = |part: &str| format!("transformer.h.{number}.{part}");
            layers.push(layer(&name("ln_1"), "norm", &[64, 128], &[("weight", &[128])]));
            let tensors: [(&str, &[i64]); 2] =
                [("c_attn.weight", &[384, 128]), ("c_proj.weight", &[128, 128])];
            layers.push(layer(&name("attn"), "attention", &[64, 128], &tensors));
            layers.push(layer(&name("ln_2"), "norm", &[64, 128], &[("weight", &[128])]));
            let tensors: [(&str, &[i64]); 2] = [("c_fc.weight", &[512, 128]), ("c_proj.weight", &[128, 512])];
            layers.push(layer(&name("mlp"), "feed-forward", &[64, 128], &tensors));
        }
        layers.push(layer("transformer.ln_f", "norm", &[64, 128], &[("weight", &[128])]));
        layers.push(layer("lm_head", "linear, tied to transformer.wte", &[64, 65], &[]));
        layers
    }

    pub fn cnn() -> Vec<Layer> {
        let kind = "convolution, rectifier, pooling";
        vec![
            layer("conv.0", kind, &[16, 12, 12], &[("weight", &[16, 1, 3, 3]), ("bias", &[16])]),
            layer("conv.1", kind, &[32, 6, 6], &[("weight", &[32, 16, 3, 3]), ("bias", &[32])]),
            layer("fc.0", "linear", &[128], &[("weight", &[128, 1152]), ("bias", &[128])]),
            layer("fc.1", "linear", &[5], &[("weight", &[5, 128]), ("bias", &[5])]),
        ]
    }

    pub fn resnet() -> Vec<Layer> {
        let mut layers = vec![
            layer("conv1", "convolution", &[64, 32, 32], &[("weight", &[64, 3, 3, 3])]),
            layer("bn1", "norm", &[64, 32, 32], &[("weight", &[64]), ("bias", &[64])]),
        ];
        let mut inputs = 64;
        for stage in 0..4i64 {
            let outputs = 64 << stage;
            for number in 0..2 {
                let side = 32 >> stage;
                let mut block = layer(
                    &format!("layer{}.{number}", stage + 1),
                    "residual block",
                    &[outputs, side, side],
                    &[
                        ("conv1.weight", &[outputs, inputs, 3, 3]),
                        ("conv2.weight", &[outputs, outputs, 3, 3]),
                    ],
                );
                if inputs != outputs {
                    block.tensors.push(("downsample.0.weight".into(), vec![outputs, inputs, 1, 1]));
                }
                layers.push(block);
                inputs = outputs;
            }
        }
        layers.push(layer("fc", "linear", &[10], &[("weight", &[10, 512]), ("bias", &[10])]));
        layers
    }

    /// Names, with how often and what is inside: `transformer.h.0 … 5 × 6 [ln_1, attn, ln_2, mlp]`.
    fn shown(parts: &[Part]) -> String {
        let one = |part: &Part| match part {
            Part::Layer { name, times: 1, .. } => name.clone(),
            Part::Layer { name, times, .. } => format!("{name} × {times}"),
            Part::Block { name, times, parts, .. } => format!("{name} × {times} [{}]", shown(parts)),
        };
        parts.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn blocks_that_repeat_are_told_once() {
        let cases = [
            (
                gpt(6),
                "transformer.wte, transformer.wpe, transformer.h.0 … 5 × 6 [ln_1, attn, ln_2, mlp], \
                 transformer.ln_f, lm_head",
            ),
            (cnn(), "conv.0, conv.1, fc.0, fc.1"),
            (
                resnet(),
                "conv1, bn1, layer1.0 … 1 × 2, layer2.0, layer2.1, layer3.0, layer3.1, layer4.0, layer4.1, fc",
            ),
            (Vec::new(), ""),
        ];
        for (layers, expected) in cases {
            assert_eq!(shown(&fold(&layers)), expected);
        }
    }

    #[test]
    fn a_block_that_differs_stands_alone_and_blocks_within_blocks_fold_too() {
        let mut odd = gpt(4);
        odd[7].parameters += 1;
        assert_eq!(
            shown(&fold(&odd[2..18])),
            "transformer.h.0 × 1 [ln_1, attn, ln_2, mlp], transformer.h.1 × 1 [ln_1, attn, ln_2, mlp], \
             transformer.h.2 … 3 × 2 [ln_1, attn, ln_2, mlp]"
        );
        let mut experts = Vec::new();
        for block in 0..2 {
            experts.push(layer(&format!("h.{block}.attn"), "attention", &[8], &[]));
            for expert in 0..3 {
                experts.push(layer(&format!("h.{block}.experts.{expert}"), "linear", &[8], &[]));
            }
        }
        assert_eq!(shown(&fold(&experts)), "h.0 … 1 × 2 [attn, experts.0 … 2 × 3]");
    }

    #[test]
    fn strange_names_are_names() {
        for name in ["", ".", "..", "0", "0.0.0.0.0.0.0.0.0.0", "7.x", "x.7", "<b>", "x.7.", "夜.1.b"] {
            let layers = vec![layer(name, "", &[], &[]), layer(name, "", &[], &[])];
            assert!(!fold(&layers).is_empty(), "{name}");
        }
        assert_eq!(shown(&fold(&[layer("0", "", &[], &[]), layer("1", "", &[], &[])])), "0 … 1 × 2");
    }
}
