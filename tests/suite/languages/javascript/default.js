// A default function without a name; see forgotten.chat.
export default async function (times) {
  throw new RangeError(`told to ${times}`);
}
