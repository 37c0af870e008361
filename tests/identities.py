"""The table of identities that derivatives must reproduce, from the literature on matrix calculus."""

from identities_matrix import MATRIX_BY_MATRIX, SCALAR_BY_MATRIX
from identities_scalar import BY_SCALAR, SCALAR_BY_SCALAR
from identities_vector import SCALAR_BY_VECTOR, VECTOR_BY_VECTOR

IDENTITIES = VECTOR_BY_VECTOR | SCALAR_BY_VECTOR | BY_SCALAR | SCALAR_BY_SCALAR | SCALAR_BY_MATRIX | MATRIX_BY_MATRIX
