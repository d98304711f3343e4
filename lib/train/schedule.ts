import type { CheckedTrainerOptions } from './options';

type Schedule = Pick<CheckedTrainerOptions, 'lr' | 'schedule' | 'warmup' | 'milestones' | 'gamma'>;

/**
 * Returns the learning rate of a step.
 *
 * @param step Counts from 0.
 * @param steps How many steps the training has.
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
      // Like torch.optim.lr_scheduler.CosineAnnealingLR, called once per step: the first step after the warm-up has the full rate.
      return (lr * (1 + Math.cos((Math.PI * (step - rising)) / (steps - rising)))) / 2;
    case 'step':
      return lr * gamma ** milestones.filter((share) => step >= Math.round(share * steps)).length;
    default:
      return lr;
  }
}
