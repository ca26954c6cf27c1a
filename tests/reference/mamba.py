"""Reference implementations of Vim and VMamba, step by step, on a state dict with the authors' names."""

import math

import torch
import torch.nn.functional as F


def scan_loops(u, delta, A, B, C, D=None, z=None, bias=None, softplus=False):
    """The scan of one sample and channel at a time, in float64; (b, d, L), A (d, n), B and C (b, g, n, L)."""
    u, delta, A, B, C = (x.double() for x in (u, delta, A, B, C))
    batch, channels, length = u.shape
    share = channels // B.shape[1]
    out, last = torch.zeros_like(u), torch.zeros(batch, channels, A.shape[1], dtype=torch.float64)
    for b in range(batch):
        for c in range(channels):
            h = torch.zeros(A.shape[1], dtype=torch.float64)
            for t in range(length):
                dt = delta[b, c, t] + (0 if bias is None else bias[c].double())
                dt = F.softplus(dt) if softplus else dt
                h = torch.exp(dt * A[c]) * h + dt * B[b, c // share, :, t] * u[b, c, t]
                y = (C[b, c // share, :, t] * h).sum()
                y = y + (0 if D is None else D[c].double() * u[b, c, t])
                out[b, c, t] = y * (1 if z is None else F.silu(z[b, c, t].double()))
            last[b, c] = h
    return out, last


def scan_steps(u, delta, A, B, C, D=None, z=None, bias=None, softplus=False):
    """The same with autograd, one time step after the other (the reference loop)."""
    share = u.shape[1] // B.shape[1]
    B, C = (x.repeat_interleave(share, 1) for x in (B, C))
    delta = delta if bias is None else delta + bias[:, None]
    delta = F.softplus(delta) if softplus else delta
    h, ys = u.new_zeros(*u.shape[:2], A.shape[1]), []
    for t in range(u.shape[2]):
        h = torch.exp(delta[..., t, None] * A) * h + (delta * u)[..., t, None] * B[..., t]
        ys.append((h * C[..., t]).sum(-1))
    y = torch.stack(ys, -1)
    y = y if D is None else y + D[:, None] * u
    return (y if z is None else y * F.silu(z)), h


def rms_norm(x, weight):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * weight


def vim_mixer(tokens, state, suffix):
    """One direction of one block; ``state`` holds the mixer's parameters."""
    inner = state['A_log'].shape[0]
    rank = state['dt_proj.weight'].shape[1]
    x, z = (tokens @ state['in_proj.weight'].T).mT.split(inner, 1)
    if suffix:
        x, z = x.flip(-1), z.flip(-1)
    taps = state[f'conv1d{suffix}.weight'].shape[2]
    padded = F.pad(x, (taps - 1, 0))
    windows = torch.stack([padded[..., k : k + x.shape[2]] for k in range(taps)], -1)
    x = F.silu(
        (windows * state[f'conv1d{suffix}.weight'][:, 0][:, None]).sum(-1)
        + state[f'conv1d{suffix}.bias'][:, None]
    )
    mixed = torch.einsum('rd,bdl->brl', state[f'x_proj{suffix}.weight'], x)
    n = state['A_log'].shape[1]
    dt, B, C = mixed[:, :rank], mixed[:, None, rank : rank + n], mixed[:, None, rank + n :]
    dt = torch.einsum('dr,brl->bdl', state[f'dt_proj{suffix}.weight'], dt)
    A = -torch.exp(state['A_b_log' if suffix else 'A_log'])
    D = state['D_b' if suffix else 'D']
    y, _ = scan_steps(x, dt, A, B, C, D, z, state[f'dt_proj{suffix}.bias'], True)
    return y.flip(-1) if suffix else y


def vim_logits(state, images, stride):
    """Logits, and the residual stream after each block."""
    x = F.conv2d(images, state['patch_embed.proj.weight'], state['patch_embed.proj.bias'], stride)
    x = x.flatten(2).mT
    middle = x.shape[1] // 2
    x = (
        torch.cat([x[:, :middle], state['cls_token'].expand(len(x), 1, -1), x[:, middle:]], 1)
        + state['pos_embed']
    )
    streams = []
    for i in range(sum(key.endswith('mixer.D') for key in state)):
        own = {k.split('mixer.')[1]: v for k, v in state.items() if k.startswith(f'layers.{i}.mixer.')}
        h = rms_norm(x, state[f'layers.{i}.norm.weight'])
        y = (vim_mixer(h, own, '') + vim_mixer(h, own, '_b')) / 2
        x = x + y.mT @ own['out_proj.weight'].T
        streams.append(x)
    x = rms_norm(x, state['norm_f.weight'])[:, middle]
    return x @ state['head.weight'].T + state['head.bias'], streams


def layer_norm(x, state, name):
    """Over the channels of (N, C, H, W)."""
    x = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], state[f'{name}.weight'], state[f'{name}.bias'])
    return x.permute(0, 3, 1, 2)


def linear(x, state, name):
    out = torch.einsum('oc,nchw->nohw', state[f'{name}.weight'], x)
    return out if f'{name}.bias' not in state else out + state[f'{name}.bias'][:, None, None]


def ss2d(x, state, vanilla):
    """``state`` holds the parameters of one op, with x_proj and dt_projs as layers or as parameters."""
    x = linear(x, state, 'in_proj')
    if vanilla:
        x, gate = x.split(x.shape[1] // 2, 1)
    d, (height, width) = x.shape[1], x.shape[2:]
    x = F.silu(F.conv2d(x, state['conv2d.weight'], state.get('conv2d.bias'), padding=1, groups=d))
    n = state['A_logs'].shape[1]
    rank = math.ceil(state['out_proj.weight'].shape[0] / 16)
    x_proj = state.get('x_proj_weight', state.get('x_proj.weight')).reshape(4, rank + 2 * n, d)
    dt_projs = state.get('dt_projs_weight', state.get('dt_projs.weight')).reshape(4, d, rank)
    rows = [(r, c) for r in range(height) for c in range(width)]
    columns = [(r, c) for c in range(width) for r in range(height)]
    total = torch.zeros_like(x)
    for k, path in enumerate((rows, columns, rows[::-1], columns[::-1])):
        u = torch.stack([x[:, :, r, c] for r, c in path], -1)
        mixed = torch.einsum('rd,bdl->brl', x_proj[k], u)
        dt = torch.einsum('dr,brl->bdl', dt_projs[k], mixed[:, :rank])
        B, C = mixed[:, None, rank : rank + n], mixed[:, None, rank + n :]
        part = slice(k * d, (k + 1) * d)
        A = -torch.exp(state['A_logs'][part])
        y, _ = scan_steps(u, dt, A, B, C, state['Ds'][part], None, state['dt_projs_bias'][k], True)
        back = torch.zeros_like(x)
        for place, (r, c) in enumerate(path):
            back[:, :, r, c] = y[..., place]
        total = total + back
    x = layer_norm(total, state, 'out_norm')
    return linear(x * F.silu(gate) if vanilla else x, state, 'out_proj')


def vmamba_logits(state, images, depths, vanilla):
    def sub(prefix):
        return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}

    def conv(x, name, stride, padding):
        return F.conv2d(x, state[f'{name}.weight'], state[f'{name}.bias'], stride, padding)

    if vanilla:
        x = layer_norm(conv(images, 'patch_embed.0', 4, 0), state, 'patch_embed.2')
    else:
        x = F.gelu(layer_norm(conv(images, 'patch_embed.0', 2, 1), state, 'patch_embed.2'))
        x = layer_norm(conv(x, 'patch_embed.5', 2, 1), state, 'patch_embed.7')
    for i, depth in enumerate(depths):
        for j in range(depth):
            name = f'layers.{i}.blocks.{j}'
            x = x + ss2d(layer_norm(x, state, f'{name}.norm'), sub(f'{name}.op.'), vanilla)
            if not vanilla:
                h = linear(layer_norm(x, state, f'{name}.norm2'), state, f'{name}.mlp.fc1')
                x = x + linear(F.gelu(h), state, f'{name}.mlp.fc2')
        if i < len(depths) - 1 and vanilla:
            parts = [x[:, :, 0::2, 0::2], x[:, :, 1::2, 0::2], x[:, :, 0::2, 1::2], x[:, :, 1::2, 1::2]]
            x = layer_norm(torch.cat(parts, 1), state, f'layers.{i}.downsample.1')
            x = linear(x, state, f'layers.{i}.downsample.2')
        elif i < len(depths) - 1:
            x = layer_norm(conv(x, f'layers.{i}.downsample.1', 2, 1), state, f'layers.{i}.downsample.3')
    x = layer_norm(x, state, 'classifier.norm').mean((2, 3))
    return x @ state['classifier.head.weight'].T + state['classifier.head.bias']
