// The gateway's clock: due times are its, and a desk's own clock may be minutes off.
let offset = 0;
export const correct = (now) => {
  if (now > 0) offset = now - Date.now();
};
export const now = () => Date.now() + offset;
