import type { CheckedTrainerOptions } from './options';

type Schedule = Pick<CheckedTrainerOptions, 'lr' | 'schedule' | 'warmup' | 'milestones' | 'gamma'>;

/**
 * The learning rate of a step.
 *
 * @param step From 0.
 * @param steps All steps of the training.
 */
export function learningRateAt(
  { lr, schedule, warmup, milestones, gamma }: Schedule,
  step: number,
  steps: number,
): number {
  const rising = Math.round(warmup * steps);
  if (step < rising) return (lr * (step + 1)) / rising;
  switch (schedule) {
    case 'cosine':
      // As torch.optim.lr_scheduler.CosineAnnealingLR, once per step: the first step after the warm-up has the full rate.
      return (lr * (1 + Math.cos((Math.PI * (step - rising)) / (steps - rising)))) / 2;
    case 'step':
      return lr * gamma ** milestones.filter((share) => step >= Math.round(share * steps)).length;
    default:
      return lr;
  }
}
