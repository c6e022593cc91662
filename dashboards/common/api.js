// The few GETs that the pages make. The header cannot be set by another site's page without its consent.
export class Refused extends Error {
  constructor(path, status) {
    super(`GET ${path} answered ${status}`);
    this.status = status;
  }
}

export async function getJson(path) {
  const response = await fetch(path, { headers: { "X-Zuruf": "1" }, cache: "no-store", credentials: "same-origin" });
  if (!response.ok) throw new Refused(path, response.status);
  return response.json();
}

const part = encodeURIComponent;
export const seats = () => getJson("/api/seats");
export const seatToken = async (tenant, repId) => (await getJson(`/api/seats/${part(tenant)}/${part(repId)}/token`)).token;
export const boardToken = async (tenant) => (await getJson(`/api/board-token?tenant=${part(tenant)}`)).token;
export const chatBrands = async () => {
  const answer = await getJson("/api/chat/brands");
  return answer.brands ?? answer;
};
