import { InferenceSession } from './session';

type Arguments = Parameters<typeof InferenceSession.create>;

/** Lets `use` have a session, and disposes of it whatever happens. */
export async function withSession<T>(
  model: Arguments[0],
  options: NonNullable<Arguments[1]>,
  use: (session: InferenceSession) => Promise<T>,
): Promise<T> {
  const session = await InferenceSession.create(model, options);
  try {
    return await use(session);
  } finally {
    session.dispose();
  }
}
