// Browser storage that may be switched off: then values live as long as the page, and nothing breaks.

const make = (storage) => {
  const memory = new Map();
  return {
    get(key) {
      try {
        return storage().getItem(`zuruf.${key}`) ?? memory.get(key) ?? null;
      } catch {
        return memory.get(key) ?? null;
      }
    },
    set(key, value) {
      memory.delete(key);
      try {
        if (value === null || value === "") storage().removeItem(`zuruf.${key}`);
        else storage().setItem(`zuruf.${key}`, value);
      } catch {
        if (value) memory.set(key, value);
      }
    },
    forget(prefix) {
      for (const key of memory.keys()) if (key.startsWith(prefix)) memory.delete(key);
      try {
        for (const key of Object.keys(storage())) if (key.startsWith(`zuruf.${prefix}`)) storage().removeItem(key);
      } catch {
        // Nothing could be kept, so nothing needs to be forgotten.
      }
    },
  };
};

export const local = make(() => localStorage);
export const session = make(() => sessionStorage);
