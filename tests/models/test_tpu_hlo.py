"""models/tpu_hlo.py: what the text of a compiled program tells."""

from smelu_tf.models.tpu_hlo import AllReduces, Fusion, all_reduces, fusions_of

# Written by hand, in the form of XLA's texts.
TEXT = """HloModule jit_program, is_scheduled=true

%sum (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %add.1 = f32[] add(%x, %y)
}

%inner (p: bf16[8,4]) -> bf16[8,4] {
  %p = bf16[8,4]{1,0} parameter(0), metadata={op_name="deep/activation_9/Arg"}
  ROOT %max.1 = bf16[8,4]{1,0:T(8,128)(2,1)} maximum(%p, %p), \
metadata={op_name="jit(program)/deep/mlp/activation_0/Maximum"}
}

%outer.2 (a: bf16[8,2], b: bf16[2,4]) -> bf16[8,4] {
  %a = bf16[8,2]{1,0} parameter(0)
  %b = bf16[2,4]{1,0} parameter(1)
  %convolution.7 = bf16[8,4]{1,0} convolution(%a, %b), dim_labels=bf_io->bf
  ROOT %fusion.8 = bf16[8,4]{1,0} fusion(%convolution.7), kind=kLoop, calls=%inner
}

%alone (q: bf16[8,4]) -> bf16[8,4] {
  %q = bf16[8,4]{1,0} parameter(0)
  ROOT %mul.3 = bf16[8,4]{1,0} multiply(%q, %q), \
metadata={op_name="Sqrt;activation_1_gradient/Mul"}
}

%other (r: bf16[8,4]) -> bf16[8,4] {
  %r = bf16[8,4]{1,0} parameter(0)
  ROOT %neg.3 = bf16[8,4]{1,0} negate(%r), metadata={op_name="loss/activation"}
}

ENTRY %main.9 (a.1: bf16[8,2], b.1: bf16[2,4]) -> (f32[], bf16[8,4]) {
  %a.1 = bf16[8,2]{1,0:T(8,128)(2,1)S(1)} parameter(0)
  %b.1 = bf16[2,4]{1,0} parameter(1)
  %fusion.3 = bf16[8,4]{1,0:T(8,128)(2,1)S(1)} fusion(%a.1, %b.1), calls=%outer.2
  %fusion.4 = bf16[8,4]{1,0} fusion(%fusion.3), kind=kLoop, calls=%alone
  %fusion.5 = bf16[8,4]{1,0} fusion(%fusion.4), kind=kLoop, calls=%other
  %sqrt.1 = bf16[8,4]{1,0} sqrt(%fusion.5), metadata={op_name="activation_2/Sqrt"}
  %all-reduce.7 = (f32[]{:T(128)}, /*index=1*/bf16[8,4]{1,0}, pred[3]) \
all-reduce(%c, %sqrt.1), channel_id=1, to_apply=%sum
  %all-reduce-start.1 = u32[6]{0} all-reduce-start(%d), to_apply=%sum
  %all-reduce-done.1 = u32[6]{0} all-reduce-done(%all-reduce-start.1)
  ROOT %tuple.1 = (f32[], bf16[8,4]) tuple(%c, %sqrt.1)
}
"""


def test_kernels_of_a_scope_with_all_that_is_inside_them():
    assert fusions_of(TEXT, "activation") == (
        Fusion("fusion.3", ("activation_0",), True),
        Fusion("fusion.4", ("activation_1_gradient",), False),
        Fusion("sqrt.1", ("activation_2",), False),
    )
    assert fusions_of(TEXT, "mlp") == (Fusion("fusion.3", ("mlp",), True),)
    assert fusions_of(TEXT, "none") == ()
    assert fusions_of("", "activation") == ()


def test_all_reduces_are_counted_once_with_their_bytes():
    assert all_reduces(TEXT) == AllReduces(2, 4 + 8 * 4 * 2 + 3 + 6 * 4)
    assert all_reduces("") == AllReduces(0, 0)
