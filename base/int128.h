/*
 * int128 - 128-bit integers: an extension of gcc and clang, named once.
 */
#ifndef BASE_INT128_H
#define BASE_INT128_H

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

#endif
