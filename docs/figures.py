"""Draw the figures of docs/en/_static: ``python docs/figures.py``."""

from pathlib import Path

FOLDER = Path(__file__).parent / 'en' / '_static'
STYLE = """<style>
text{font:14px sans-serif;fill:#1b1b1b;text-anchor:middle}
.s{font-size:12px}
.box{fill:#eef2f7;stroke:#5b6b7f;rx:6}
.t{fill:#fdebd2}.k{fill:#dff0e0}.l{fill:#f6dede}.p{fill:#fff}
.cell{stroke:#aab4c0;stroke-width:.6}
.thin{stroke:#5b6b7f;stroke-width:1.2;fill:none}
.arrow{stroke:#7a8796;stroke-width:1.6;fill:none;marker-end:url(#a)}
.dash{stroke-dasharray:4 3}
.bg{fill:#fff;rx:8}
</style><defs>
<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L8 4L0 8z" style="fill:#7a8796"/></marker></defs>
"""
COLOURS = {'.': '#eef2f7', 'T': '#eda94e', 'S': '#7db881', 'R': '#d98080', 'B': '#7fa6d6', 'V': '#b79bd6'}


def text(x, y, words, kind='s'):
    """A line of text, centred at x."""
    return f'<text class="{kind}" x="{x}" y="{y}">{words}</text>'


def box(x, y, w, h, kind, *lines):
    """A box of kind t (teacher), k (student), l (loss), p (picture) or none; further lines are smaller."""
    first = y + h / 2 + 5 - (len(lines) - 1) * 8
    words = [text(x + w / 2, round(first + i * 17), line, 's' if i else '') for i, line in enumerate(lines)]
    return f'<rect class="box {kind}" x="{x}" y="{y}" width="{w}" height="{h}"/>' + ''.join(words)


def picture(x, y, w, h, caption, *parts):
    """A white box with a caption at its lower edge."""
    return box(x, y, w, h, 'p') + text(x + w / 2, y + h - 7, caption) + ''.join(parts)


def arrow(path, kind=''):
    """An arrow along a path."""
    return f'<path class="arrow {kind}" d="{path}"/>'


def link(x1, y1, x2, y2, label='', kind=''):
    """A horizontal or S-shaped arrow with a label above the middle."""
    middle = (x1 + x2) // 2
    bend = f'H{x2}' if y1 == y2 else f'C{middle} {y1} {middle} {y2} {x2} {y2}'
    return arrow(f'M{x1} {y1}{bend}', kind) + (text(middle - 1, y1 - 7, label) if label else '')


def cells(x, y, size, *rows):
    """A matrix, one character a cell: a digit is a shade of grey, anything else a key of COLOURS."""
    parts = []
    for i, row in enumerate(rows):
        for j, key in enumerate(row):
            fill = f'#5b6b7f" fill-opacity="{int(key) / 9:.2f}' if key.isdigit() else COLOURS[key]
            at = f'x="{x + j * size}" y="{y + i * size}" width="{size}" height="{size}"'
            parts.append(f'<rect class="cell" {at} fill="{fill}"/>')
    return ''.join(parts)


def bars(x, base, marked=None, **nets):
    """Bars of T and S, one digit a class, side by side; the marked class is in a dashed frame."""
    parts, pitch = [], 7 * len(nets) + 5
    for k, (net, digits) in enumerate(nets.items()):
        for i, h in enumerate(5 * int(digit) for digit in digits):
            at = f'x="{x + i * pitch + k * 7}" y="{base - h}" width="7" height="{h}"'
            parts.append(f'<rect {at} fill="{COLOURS[net]}"/>')
    if marked is not None:
        at = f'x="{x + marked * pitch - 2.5}" y="{base - 50}" width="{pitch}" height="53"'
        parts.append(f'<rect class="thin dash" {at}/>')
    return ''.join(parts)


def points(x, y, *at):
    """A batch as points: all distances, and the angle at the first."""
    at = [(x + a, y + b) for a, b in at]
    pairs = [(a, b) for i, a in enumerate(at) for b in at[i + 1 :]]
    lines = ''.join(f'<path class="thin" d="M{a[0]} {a[1]}L{b[0]} {b[1]}"/>' for a, b in pairs)
    (x0, y0), near = at[0], []
    for a, b in at[1:3]:
        scale = 24 / ((a - x0) ** 2 + (b - y0) ** 2) ** 0.5
        near.append(f'{x0 + (a - x0) * scale:.1f} {y0 + (b - y0) * scale:.1f}')
    arc = f'<path class="thin" style="stroke:#c0504d;stroke-width:3" d="M{near[0]}A24 24 0 0 1 {near[1]}"/>'
    return lines + arc + ''.join(f'<circle cx="{a}" cy="{b}" r="4.5" fill="#5b6b7f"/>' for a, b in at)


def svg(height, title, *parts, width=900):
    """The SVG file of a figure."""
    view = f'viewBox="0 0 {width} {height}" role="img" aria-label="{title}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {view}><title>{title}</title>{STYLE}'
    back = f'<rect class="bg" width="{width}" height="{height}"/>'
    return '\n'.join([head + back, *parts, '</svg>\n'])


def method(height, title, *parts):
    """A method's figure: both nets (centres at 50 and height - 90, right edges at 260) and label loss."""
    top, middle, low = height - 115, (height - 40) // 2, height - 30
    nets = (
        box(15, middle - 25, 85, 50, '', 'images'),
        box(140, 25, 120, 50, 't', 'teacher', 'frozen'),
        box(140, top, 120, 50, 'k', 'student'),
        link(100, middle - 10, 138, 50),
        link(100, middle + 10, 138, top + 25),
        box(700, low - 20, 185, 40, 'l', 'CE(z_s, y)'),
        arrow(f'M180 {top + 50}C180 {low} 200 {low} 240 {low}H698') + text(300, low - 7, 'z_s'),
    )
    return svg(height, title, *nets, *parts)


# fmt: off
def figures():
    """The SVG text of each figure, by name."""
    drawn = {'data_flow': svg(
        390, 'Data flow of a distillation step',
        box(15, 20, 90, 50, '', 'images'), box(165, 20, 150, 50, '', 'data', 'preprocessor'),
        link(105, 45, 163, 45),
        box(35, 120, 165, 56, 't', 'frozen teacher', 'own size and mean/std'),
        box(280, 120, 165, 56, 'k', 'student', 'the exported part'),
        arrow('M220 70C220 98 118 92 118 118'), arrow('M260 70C260 98 362 92 362 118'),
        box(265, 225, 120, 50, '', 'connectors', 'train-only'), arrow('M325 176V223'),
        text(257, 206, 'stages, embedding', ''),
        box(145, 315, 160, 56, 'l', 'losses', 'loss_ce, loss_...'),
        arrow('M118 176C118 250 185 250 185 313'), text(74, 240, 'logits, stages,', ''),
        text(74, 258, 'embedding', ''),
        arrow('M325 275C325 298 270 290 270 313'),
        arrow('M420 176V300C420 335 390 343 307 343'),
        text(446, 260, 'logits', ''), width=480)}
    projector = box(325, 225, 135, 50, '', 'StageProjector', 'stages to P channels')
    drawn['mldrkd'] = method(
        340, 'MLDR-KD from images to losses', projector, box(510, 225, 110, 50, '', 'MSDF', 'heads and gate'),
        box(700, 20, 185, 46, 'l', 'DFRA(z_s, z_t)'), box(700, 95, 185, 46, 'l', 'sum of DFRA(p_i, z_t)'),
        box(700, 170, 185, 46, 'l', 'DFRA(p_f, z_t)'),
        link(260, 38, 698, 38, 'z_t'), link(260, 50, 698, 108), link(260, 62, 698, 183),
        arrow('M235 225C300 100 480 54 698 54'), text(258, 148, 'z_s'), link(260, 250, 323, 250, 'stages'),
        link(460, 250, 508, 250), link(620, 238, 698, 128), link(620, 262, 698, 203),
        text(626, 217, 'p_i'), text(640, 277, 'p_f'))
    drawn['hcd'] = method(
        340, 'HCD from images to losses', projector, box(445, 140, 100, 50, '', 'CFM', 'n sub-logits'),
        box(580, 140, 84, 50, '', '+', 's = q + z_t'), box(700, 20, 185, 46, 'l', 'KD(z_t, z_s)'),
        box(700, 100, 185, 46, 'l', 'SDD', 'CE(s, y), w KL(s, z_s)'),
        box(700, 185, 185, 46, 'l', 'orthogonality of s'), link(260, 34, 698, 34, 'z_t'),
        arrow('M260 50C520 50 622 65 622 138'), text(606, 76, 'z_t'),
        arrow('M260 64C400 64 495 80 495 138'), text(310, 82, 'f_t'),
        arrow('M200 225C270 100 480 54 698 54'), arrow('M235 225C330 110 520 110 698 110'),
        text(212, 175, 'z_s'), link(260, 250, 323, 250, 'stages'), arrow('M460 250C490 250 495 230 495 192'),
        link(545, 165, 578, 165, 'q'), link(664, 155, 698, 132), link(664, 175, 698, 208))
    drawn['kd'] = method(
        300, 'KD: the KL divergence of softened distributions',
        picture(380, 10, 150, 85, 'softmax(z_t / T)', bars(420, 65, T='284131')),
        picture(380, 155, 150, 85, 'softmax(z_s / T)', bars(420, 210, S='345223')),
        link(260, 50, 378, 50, 'z_t'), link(260, 210, 378, 210, 'z_s'), text(556, 44, 'p_t'),
        text(556, 214, 'p_s'), link(530, 52, 698, 115), link(530, 198, 698, 135),
        box(700, 100, 185, 50, 'l', 'T&#178; KL(p_t || p_s)'))
    drawn['dkd'] = method(
        330, 'DKD: the true class and the other classes are compared apart',
        picture(345, 95, 145, 95, 'p_t, p_s, split at y', bars(363, 162, 1, T='180201', S='143121')),
        link(260, 50, 343, 125), text(280, 43, 'z_t'), link(260, 240, 343, 160), text(280, 257, 'z_s'),
        picture(525, 10, 135, 95, 'b: y, all others', bars(576, 77, T='84', S='48')),
        picture(525, 165, 135, 95, 'p&#770;: others alone', bars(547, 232, T='30603', S='14232')),
        link(490, 125, 523, 58), link(490, 160, 523, 212), link(660, 58, 698, 58), link(660, 212, 698, 212),
        box(700, 33, 185, 50, 'l', '&#945; T&#178; KL(b_t || b_s)', 'target'),
        box(700, 187, 185, 50, 'l', '&#946; T&#178; KL(p&#770;_t || p&#770;_s)', 'non-target'))
    drawn['rld'] = method(
        330, 'RLD: the confidence, and the classes that the teacher ranks below the true one',
        picture(345, 95, 145, 95, 'p_t, p_s, true class y', bars(363, 162, 2, T='184201', S='143121')),
        link(260, 50, 343, 125), text(280, 43, 'z_t'), link(260, 240, 343, 160), text(280, 257, 'z_s'),
        picture(525, 10, 135, 95, 'b: own choice, the rest', bars(576, 77, T='84', S='38')),
        picture(525, 165, 135, 95, 'q: below y alone', bars(557, 232, T='4727', S='5656')),
        link(490, 125, 523, 58), link(490, 160, 523, 212), link(660, 58, 698, 58), link(660, 212, 698, 212),
        box(700, 33, 185, 50, 'l', '&#945; &#964;&#178; KL(b_t || b_s)', 'confidence'),
        box(700, 187, 185, 50, 'l', '&#946; T&#178; KL(q_t || q_s)', 'correlation'))
    matrix = ('....V.', '....V.', 'BBBBBB', '....V.', '....V.')
    drawn['dist'] = method(
        350, 'DIST: correlations of rows and columns of the class probabilities',
        picture(380, 10, 130, 100, 'p_t (N x C)', cells(403, 18, 14, *matrix)),
        picture(380, 205, 130, 100, 'p_s (N x C)', cells(403, 213, 14, *matrix)),
        link(260, 50, 378, 50, 'z_t'), link(260, 260, 378, 260, 'z_s'),
        link(510, 45, 698, 87), link(510, 75, 698, 192), link(510, 240, 698, 113), link(510, 270, 698, 218),
        box(700, 72, 185, 56, 'l', '&#946; (1 &#8722; mean corr.)', 'rows: inter-class'),
        box(700, 177, 185, 56, 'l', '&#947; (1 &#8722; mean corr.)', 'columns: intra-class'),
        cells(711, 107, 10, 'B'), cells(711, 212, 10, 'V'))
    stages = []
    for i, x in enumerate((150, 300, 450, 600)):
        stages += [
            box(x, 20, 110, 46, 't', f'stage {i + 1}', 'teacher, frozen'), box(x, 96, 110, 40, 'l', 'MSE'),
            box(x, 166, 110, 50, '', '1x1 conv', 'then the grid'),
            box(x, 246, 110, 46, 'k', f'stage {i + 1}', 'student'), arrow(f'M{x + 55} 66V94'),
            arrow(f'M{x + 55} 166V138'), arrow(f'M{x + 55} 246V218'), link(x + 110, 269, x + 148, 269)]
    drawn['fitnet'] = svg(
        310, 'FitNet: each student stage imitates a teacher stage', *stages,
        *[link(x, 43, x + 38, 43) for x in (260, 410, 560)], box(15, 131, 85, 50, '', 'images'),
        '<path class="thin dash" d="M260 116H300M410 116H450M560 116H600"/>',
        link(100, 146, 148, 43), link(100, 166, 148, 269), box(750, 246, 135, 46, 'l', 'CE(z_s, y)'),
        text(729, 262, 'z_s'), link(710, 116, 748, 116),
        box(750, 91, 135, 50, 'l', 'hint', 'mean of the pairs'))
    attention = ('01210', '13642', '26983', '14742', '01321'), ('11100', '22431', '13764', '12575', '01232')
    drawn['at'] = method(
        350, 'AT: maps of attention are compared', link(260, 50, 488, 50, 'stages'),
        picture(490, 10, 130, 100, 'A_t (H x W)', cells(520, 17, 14, *attention[0])),
        picture(490, 208, 130, 100, 'A_s (H x W)', cells(520, 215, 14, *attention[1])),
        box(320, 235, 120, 50, '', 'StageMatcher', '1x1 conv, grid'), link(260, 260, 318, 260, 'stages'),
        text(555, 148, 'mean square over the'), text(555, 165, 'channels, then unit norm'),
        link(440, 260, 488, 260), link(620, 60, 698, 140), link(620, 250, 698, 170),
        box(700, 125, 185, 60, 'l', '1000 MSE(A_s, A_t)', 'sum over the stages'))
    drawn['cat'] = method(
        350, 'CAT: maps of each class are compared', link(260, 50, 328, 50, 'F_t'),
        box(330, 25, 110, 50, '', 'W at each', 'position'), link(440, 50, 488, 50),
        picture(490, 10, 130, 100, 'C maps, 2 x 2', cells(527, 17, 28, '72', '31')),
        link(260, 260, 328, 260, 'F_s'), box(330, 235, 110, 50, '', 'W at each', 'position'),
        link(440, 260, 488, 260),
        picture(490, 208, 130, 100, 'C maps, 2 x 2', cells(527, 215, 28, '63', '22')),
        text(555, 148, 'each class map is'), text(555, 165, 'divided by its norm'),
        link(620, 60, 698, 140), link(620, 250, 698, 170), box(700, 125, 185, 60, 'l', '400 MSE(A_s, A_t)'))
    kernel = ('962110', '693121', '239412', '114963', '121692', '012329'), \
             ('953221', '593122', '339322', '213954', '221592', '122429')
    drawn['cc'] = method(
        350, 'CC: kernel matrices of the batch are compared', link(260, 50, 438, 50, 'embedding'),
        picture(440, 10, 130, 105, 'K_t (N x N)', cells(469, 17, 12, *kernel[0])),
        picture(440, 203, 130, 105, 'K_s (N x N)', cells(469, 210, 12, *kernel[1])),
        link(260, 260, 438, 260, 'embedding'), text(505, 152, 'kernel of each two samples:'),
        text(505, 169, 'Gaussian, as a polynomial'), link(570, 60, 698, 145), link(570, 250, 698, 175),
        box(700, 130, 185, 60, 'l', 'MSE(K_s, K_t)'))
    drawn['rkd'] = method(
        350, 'RKD: distances and angles within the batch are compared', link(260, 50, 398, 50, 'embedding'),
        picture(400, 10, 160, 100, 'teacher', points(432, 18, (0, 55), (30, 0), (95, 12), (75, 62))),
        picture(400, 208, 160, 100, 'student', points(432, 216, (0, 40), (50, 3), (98, 30), (62, 60))),
        link(260, 260, 398, 260, 'embedding'), link(560, 45, 698, 82), link(560, 75, 698, 187),
        link(560, 243, 698, 108), link(560, 273, 698, 213),
        box(700, 67, 185, 56, 'l', '25 Huber', 'distances / their mean'),
        box(700, 172, 185, 56, 'l', '50 Huber', 'cosines of the angles'))
    drawn['crd'] = method(
        370, "CRD: an embedding finds its image in the other net's memory bank",
        box(300, 25, 120, 50, '', 'ContrastHead', 'Linear, unit norm'), link(260, 50, 298, 50),
        box(300, 255, 120, 50, '', 'ContrastHead', 'Linear, unit norm'), link(260, 280, 298, 280),
        picture(490, 22, 170, 56, 'teacher bank (M x 128)', cells(497, 32, 13, '..R.TR..RR.R')),
        picture(490, 252, 170, 56, 'student bank (M x 128)', cells(497, 262, 13, '..R.SR..RR.R')),
        link(420, 50, 488, 50, 'update', 'dash'), link(420, 280, 488, 280, 'update', 'dash'),
        arrow('M360 75C380 200 600 240 698 240'), text(347, 105, 'v_t'), link(660, 50, 698, 50),
        arrow('M360 255C380 130 600 90 698 90'), text(347, 235, 'v_s'), link(660, 280, 698, 280),
        box(700, 30, 185, 75, 'l', 'NCE', 'v_s in the teacher bank'),
        box(700, 225, 185, 75, 'l', 'NCE', 'v_t in the student bank'), cells(725, 128, 12, 'TS'),
        text(812, 138, 'the same image'), cells(731, 158, 12, 'R'), text(817, 168, 'K of other classes'),
        cells(731, 188, 12, '.'), text(812, 198, 'not drawn now'))
    drawn['ofa'] = method(
        370, 'OFA: the stages are compared in the space of the logits', link(260, 50, 438, 50, 'z_t'),
        picture(440, 10, 160, 90, '(p_t + 1_y)^&#949; &#8722; 1_y', bars(480, 70, 2, T='1291312')),
        box(325, 205, 135, 50, '', 'StageProjector', 'stages to P channels'), text(254, 227, 'stages'),
        box(510, 205, 110, 50, '', 'StageHeads', 'Linear to C'), arrow('M235 255C260 232 290 230 323 230'),
        link(460, 230, 508, 230), link(620, 230, 698, 80), text(632, 246, 'p_i'), link(600, 45, 698, 60),
        link(600, 75, 698, 200), arrow('M260 290H560C660 290 640 220 698 220'), text(470, 283, 'z_s'),
        box(700, 45, 185, 50, 'l', 'sum of OFA(p_i, z_t, y)'),
        box(700, 185, 185, 50, 'l', 'OFA(z_s, z_t, y)'))
    identity = ['1' * i + '9' + '1' * (6 - i) for i in range(7)]
    standardise = ('standardise', 'over the batch')
    drawn['rsd'] = method(
        330, 'RSD: the cross-correlation of the embeddings is driven to the identity',
        link(260, 50, 458, 50, 'embedding'), box(460, 25, 100, 50, '', *standardise),
        link(260, 240, 348, 240, 'embedding'), box(350, 215, 78, 50, '', 'AAD', 'D_s to D_t'),
        link(428, 240, 458, 240), box(460, 215, 100, 50, '', *standardise),
        picture(575, 90, 104, 112, 'P (D_t x D_t)', cells(585, 97, 12, *identity)),
        arrow('M560 50C605 50 627 60 627 88'), arrow('M560 240C605 240 627 230 627 204'),
        link(679, 135, 698, 95), box(700, 70, 185, 50, 'l', 'diagonal to 1', '(P_ii &#8722; 1)&#178;'),
        link(679, 157, 698, 197), box(700, 172, 185, 50, 'l', 'the rest to 0', '&#954; P_ij&#178;'))
    drawn['vkd'] = method(
        330, 'VkD: features under an orthogonal projection imitate normalised features',
        link(260, 38, 698, 38, 'z_t'), box(700, 20, 185, 46, 'l', 'KL(p_t || p_s)'),
        arrow('M235 215C300 130 520 54 698 54'), text(330, 160, 'z_s'),
        link(260, 62, 418, 118, 'mean of map'), box(420, 93, 150, 50, '', 'LN', 'without weights'),
        link(260, 240, 418, 218), text(330, 256, 'mean of map'),
        box(420, 193, 150, 50, '', 'P, orthogonal', 'keeps distances'),
        link(570, 118, 698, 155), link(570, 218, 698, 175), box(700, 140, 185, 50, 'l', 'smooth L1'))
    return drawn
# fmt: on


if __name__ == '__main__':
    for name, content in figures().items():
        (FOLDER / f'{name}.svg').write_text(content)
