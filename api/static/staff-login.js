import {post, readKey, sign} from './staff-key.js';

const form = document.getElementById('login');
const said = document.getElementById('said');

/** Return where to go after the login: a path of this origin, whatever the address says. */
function next() {
  const wanted = new URLSearchParams(location.search).get('next') || '/';
  const target = new URL(wanted, location.origin);
  return target.origin === location.origin ? target.pathname + target.search + target.hash : '/';
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  said.className = '';
  said.textContent = 'Signing in…';
  try {
    const name = document.getElementById('name').value.trim();
    const key = await readKey(document.getElementById('key').files[0]);
    const {challenge} = await post('/login/challenge', {name});
    // What is signed is made here: the server's word for it could ask for another signature.
    const statement = JSON.stringify({
      action: 'rialto-staff-login', challenge, name, origin: location.origin,
    });
    await post('/login/sign-in', {name, challenge, signature_hex: await sign(key, statement)});
    location.replace(next());
  } catch (error) {
    said.className = 'wrong';
    said.textContent = error.message;
  }
});
