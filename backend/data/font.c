#include "data/font.h"

enum { FIRST = 32, LAST = 126 };

/* Row by row from the top, each row a letter: bit 4 is the left dot, counted from '@'. */
static const char letters[LAST - FIRST + 1][FONT_HEIGHT + 1] = {
        "@@@@@@@", "DDDDD@D", "JJJ@@@@", "JJ_J_JJ", "DOTNE^D", "YYBDHSS", "LRTHURM", "DDH@@@@",
        "BDHHHDB", "HDBBBDH", "@DUNUD@", "@DD_DD@", "@@@@FDH", "@@@_@@@", "@@@@@LL", "@ABDHP@",
        "NQSUYQN", "DLDDDDN", "NQABDH_", "_BDBAQN", "BFJR_BB", "_P^AAQN", "FHP^QQN", "_ABDHHH",
        "NQQNQQN", "NQQOABL", "@LL@LL@", "@LL@LDH", "BDHPHDB", "@@_@_@@", "HDBABDH", "NQABD@D",
        "NQAMUUN", "NQQ_QQQ", "^QQ^QQ^", "NQPPPQN", "\\RQQQR\\", "_PP^PP_", "_PP^PPP", "NQPWQQO",
        "QQQ_QQQ", "NDDDDDN", "GBBBBRL", "QRTXTRQ", "PPPPPP_", "Q[UUQQQ", "QQYUSQQ", "NQQQQQN",
        "^QQ^PPP", "NQQQURM", "^QQ^TRQ", "OPPNAA^", "_DDDDDD", "QQQQQQN", "QQQQQJD", "QQQUU[Q",
        "QQJDJQQ", "QQQJDDD", "_ABDHP_", "NHHHHHN", "@PHDBA@", "NBBBBBN", "DJQ@@@@", "@@@@@@_",
        "HDB@@@@", "@@NAOQO", "PPVYQQ^", "@@NPPQN", "AAMSQQO", "@@NQ_PN", "FIH\\HHH", "@OQQOAN",
        "PPVYQQQ", "D@LDDDN", "B@FBBRL", "PPRTXTR", "LDDDDDN", "@@ZUUQQ", "@@VYQQQ", "@@NQQQN",
        "@@^Q^PP", "@@MSOAA", "@@VYPPP", "@@NPNA^", "HH\\HHIF", "@@QQQSM", "@@QQQJD", "@@QQUUJ",
        "@@QJDJQ", "@@QQOAN", "@@_BDH_", "BDDHDDB", "DDDDDDD", "HDDBDDH", "@@IV@@@",
};

bool font_dot(char letter, int x, int y)
{
        const unsigned char c = (unsigned char)letter;
        if (c < FIRST || c > LAST)
                return x == 0 || x == FONT_WIDTH - 1 || y == 0 || y == FONT_HEIGHT - 1;
        return letters[c - FIRST][y] >> (FONT_WIDTH - 1 - x) & 1;
}
