"""How kernels and entries pass through Numba and LLVM, without what finds nothing to do in them.

Numba makes machine code, and a wrapper that Python can call, of every function that it compiles. Kernels only ever
become part of entries: for them, compilation ends with optimized code of LLVM, which is what goes into the callers in
any case. Measured on empty caches: 13.5 s instead of 19 until the first fit of a network runs, 3 instead of 4.7 of a
linear model.

Kernels are optimized by themselves, or their loops run up to a third slower, and those of float32 networks up to eight
times (no SIMD code is found among so much else). But what only hands on to other kernels is not: a third of the time
in LLVM went into optimizing once more what had been, at every level that calls it.

Numba optimizes a function three times: alone; with all that it calls, cheaply, to remove counts of references, of which
there are none here; and at the highest level. The last is enough: fits in batches of 32 take 0.97 to 1.03 of the time
(one level below, up to 1.09 on 12 columns).
"""

from platform import machine

from llvmlite import ir
from llvmlite.binding.newpassmanagers import create_new_module_pass_manager
from numba.core import cgutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering, NopythonTypeInference

__all__ = [
    "FLUSH_TO_ZERO", "NEEDLESS", "X86", "EntryCompiler", "InlinedCompiler", "JoiningCompiler", "flush_small_results",
]  # fmt: skip

# Passes of Numba for what is nowhere in the engine: closures, ``with``, ``literally``, expressions of whole arrays, ...
NEEDLESS = {
    "WithLifting", "InlineClosureLikes", "RewriteDynamicRaises", "MakeFunctionToJitFunction", "InlineInlinables",
    "FindLiterallyCalls", "LiteralUnroll", "LiteralPropagationSubPipelinePass", "InlineOverloads", "NopythonRewrites",
    "NoPythonSupportedFeatureValidation", "AnnotateTypes", "DumpParforDiagnostics",
}  # fmt: skip
# Names of processors whose mode is in a register called MXCSR, and the bit in there that flushes small results to 0.
X86, FLUSH_TO_ZERO = ("x86_64", "AMD64"), 0x8000


def flush_small_results(function):
    """Set the processor's mode where a function of LLVM begins, and set it back where it returns.

    In float32, numbers that decay (averages of gradients, slopes of rows that are fitted well) soon are below 1e-38,
    and a processor takes a hundred times longer for what is not a normal number. Measured on digits, 100 units, Adam:
    the thirtieth epoch of a network took fifteen times as long as the first, and now takes as long.
    """
    word, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
    builder = ir.IRBuilder()
    builder.position_at_start(function.entry_basic_block)
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    read, write = (
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}") for name in ("stmxcsr", "ldmxcsr")
    )
    before, within = builder.alloca(word), builder.alloca(word)
    builder.call(read, [builder.bitcast(before, pointer)])
    builder.store(builder.or_(builder.load(before), word(FLUSH_TO_ZERO)), within)
    builder.call(write, [builder.bitcast(within, pointer)])
    for block in function.blocks:
        if isinstance(block.terminator, ir.instructions.Ret):
            builder.position_before(block.terminator)
            builder.call(write, [builder.bitcast(before, pointer)])


class _Library(JITCodeLibrary):
    """Optimized once, with all that is called."""

    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        passes, options = self._codegen._module_pass_manager()
        passes.run(self._final_module, options)


class _InlinedLibrary(_Library):
    """Code that is there to be linked into other code."""

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


class _JoiningLibrary(_InlinedLibrary):
    """Calls in there are replaced by what they call, and no more."""

    def _optimize_final_module(self):
        options = self._codegen._pass_builder(loop_vectorize=False, slp_vectorize=False)
        passes = create_new_module_pass_manager()
        passes.add_always_inliner_pass()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.run(self._final_module, options)


class _FlushingLower(Lower):
    """Numba's. While the function runs, results that are too small for normal numbers are 0."""

    def lower_normal_function(self, fndesc):
        super().lower_normal_function(fndesc)
        if machine() in X86:
            flush_small_results(self.function)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """Numba's own, into another library."""

    _name = "lowering_of_entries"
    _library = _Library
    _lower = _FlushingLower

    @property
    def lowering_class(self):
        return self._lower

    def run_pass(self, state):
        state.library = self._library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class _InlinedLowering(_Lowering):
    """Up to the point where Numba would generate machine code."""

    _name = "lowering_of_inlined_code"
    _library = _InlinedLibrary
    _lower = Lower

    def run_pass(self, state):
        state.flags.no_compile = True
        super().run_pass(state)
        # What stands for the machine code, by which callers find the rest. Numba wants a new built-in function with the
        # calling convention of its own, *args and **kwargs: this one raises KeyError, with these words.
        stand_in = "".join(["{a kernel, ", state.func_id.func_qualname, ", is called by compiled code only}"]).format
        state.targetctx.insert_user_function(stand_in, state["cr"].fndesc, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=stand_in)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _JoiningLowering(_InlinedLowering):
    _name = "lowering_of_joining_code"
    _library = _JoiningLibrary


@register_pass(mutates_CFG=True, analysis_only=False)
class _TypeInference(NopythonTypeInference):
    """Numba's own. It refuses a new array as a result where its runtime is off, for nobody would count the references:
    here nobody needs to, as every buffer is of whoever called the entry."""

    _name = "type_inference_of_inlined_code"

    def run_pass(self, state):
        context = state.targetctx  # of this compilation alone
        context.enable_nrt, enabled = True, context.enable_nrt
        try:
            return super().run_pass(state)
        finally:
            context.enable_nrt = enabled


class _Flags(Flags):
    """Numba's. It looks up what it has found by flags, thousands of times, and gathers and compares all of their values
    for that, a tenth of the time in all; here, only those that were set."""

    __slots__ = ()

    def __hash__(self):
        return hash(frozenset(self._values))

    def __eq__(self, other):
        return self._values == other._values if isinstance(other, Flags) else NotImplemented


class EntryCompiler(CompilerBase):
    """``numba.njit(pipeline_class=EntryCompiler, ...)``"""

    _own = {NativeLowering: _Lowering}

    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals):
        super().__init__(typingctx, targetctx, library, args, return_type, _Flags(flags), locals)

    def define_pipelines(self):
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        needed = [(step, why) for step, why in manager.passes if step.__name__ not in NEEDLESS]
        manager.passes = [(self._own.get(step, step), why) for step, why in needed]
        manager.finalize()
        return [manager]


class InlinedCompiler(EntryCompiler):
    """Of kernels, which have no wrappers: ``no_cpython_wrapper=True, no_cfunc_wrapper=True``."""

    _own = {NopythonTypeInference: _TypeInference, NativeLowering: _InlinedLowering}


class JoiningCompiler(InlinedCompiler):
    """Of kernels that only hand on to others."""

    _own = {NopythonTypeInference: _TypeInference, NativeLowering: _JoiningLowering}
