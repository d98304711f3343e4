import { boundary, mismatch } from '../errors';
import { boolean, parseOptions, wrongOption } from '../options';
import { type Form, formsOf } from './blocks/structure';
import { coreOf } from './core';
import { Module } from './module';
import { RepCore } from './rep-core';

/** Options of {@link RepModule.switchToDeploy}. */
export interface SwitchToDeployOptions {
  /** Keep the batch norm after the branches (partial form), so that training can continue. @default false */
  readonly keepPostBn?: boolean;
}

/** The core of a block or network. @throws {QARepVGGError} ERR_INVALID_ARG for any other object. */
export function repCoreOf(module: unknown): RepCore {
  const core = coreOf(module);
  if (core instanceof RepCore) return core;
  throw mismatch('ERR_INVALID_ARG', 'a block or network', `a ${core.name}`);
}

/** What blocks and networks have in common: branches that fold into one convolution each. */
export abstract class RepModule extends Module {
  /** How far the branches are folded; see {@link Form}. */
  get form(): Form {
    return boundary('RepModule.form', () => repCoreOf(this)).form;
  }

  /**
   * Folds the branches of each block into one convolution, in place: train -> deploy, or with `keepPostBn` train -> partial,
   * which can become deploy later. Repeating a call changes nothing. Weights move to new memory, so call `parameters()` again;
   * a `backward` needs a new `forward`.
   *
   * @throws {QARepVGGError} ERR_INVALID_STATE in training mode, and for `keepPostBn` once that batch norm is folded;
   * ERR_INVALID_ARG for `keepPostBn` when the variant has no such batch norm; ERR_NON_FINITE naming the tensors at fault. An
   * error changes nothing.
   */
  switchToDeploy(options: SwitchToDeployOptions = {}): this {
    const core = boundary('RepModule.switchToDeploy', () => repCoreOf(this));
    return boundary(`${core.name}.switchToDeploy`, () => {
      const { keepPostBn } = parseOptions({ keepPostBn: boolean(false) }, options);
      if (core.training) {
        // Forgetting eval() is the cause of nearly every report that a fused network differs.
        throw mismatch('ERR_INVALID_STATE', 'a module in eval mode', 'one in training mode; call eval() first');
      }
      const form = keepPostBn ? 'partial' : 'deploy';
      if (core.form === form) return this;
      if (keepPostBn) checkKeepPostBn(core);
      core.become(core.fused(form));
      return this;
    });
  }
}

function checkKeepPostBn({ blueprint, form }: RepCore): void {
  if (!formsOf(blueprint.kind).includes('partial')) {
    const expected = 'false for a variant without a batch norm after the sum';
    throw wrongOption('keepPostBn', expected, `true for ${blueprint.kind.variant}`);
  }
  if (form === 'deploy') {
    throw mismatch('ERR_INVALID_STATE', 'a module that still has its batch norm', 'one in deploy form');
  }
}
