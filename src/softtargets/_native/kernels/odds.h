/* Losses that are a function of the log-odds of the label, and their derivatives; the formulas are those of the losses
   in losses/, in double. With log-odds o, p_label = sigmoid(o) and 1 - p_label = sigmoid(-o). */

/* Numbers of the losses, as _native/probability.py passes them. */
enum {
    ST_LOSS_ODDS = 0,        /* the log-odds themselves */
    ST_LOSS_FOCAL = 1,       /* gamma */
    ST_LOSS_FOCAL_TWO = 2,   /* gamma below a bound on the log-odds, gamma from it on, bound */
    ST_LOSS_POWER = 3,       /* q of generalized cross entropy */
    ST_LOSS_WRONG = 4,       /* weights of -log p_label and of 1 - p_label */
    ST_LOSS_SYMMETRIC = 5,   /* probabilities that the label is observed if it is the class, and if it is another */
    ST_LOSS_RELAXATION = 6,  /* smoothing, its entropy, the log-odds from which on the loss is 0 */
    ST_LOSS_FORWARD = 7      /* not a function of the log-odds: a column of the transition for each label */
};

static double log_sigmoid(double o) { return o > 0 ? -log1p(exp(-o)) : o - log1p(exp(o)); }

static double focal(double gamma, double o, double *derivative) {
    const double log_right = log_sigmoid(o), log_wrong = log_sigmoid(-o);
    if (o == -INFINITY) { /* a masked label: the loss is infinite, with the gradient of cross entropy */
        *derivative = -1;
        return INFINITY;
    }
    const double factor = exp(gamma * log_wrong);
    *derivative = factor * (gamma * exp(log_right) * log_right - exp(log_wrong));
    return -factor * log_right;
}

static double symmetric(double kept, double other, double o, double *derivative) {
    const double log_right = log_sigmoid(o), log_wrong = log_sigmoid(-o);
    const double right = exp(log_right), wrong = exp(log_wrong);
    if (other == 0) {
        *derivative = -wrong;
        return -(log(kept) + log_right);
    }
    if (kept == 0) {
        *derivative = right;
        return -(log(other) + log_wrong);
    }
    const double observed = kept * right + other * wrong;
    *derivative = (other - kept) * right * wrong / observed;
    return -log(observed);
}

static double of_odds(int64_t loss, const double *s, double o, double *derivative) {
    switch (loss) {
        case ST_LOSS_FOCAL: return focal(s[0], o, derivative);
        case ST_LOSS_FOCAL_TWO: return focal(o < s[2] ? s[0] : s[1], o, derivative);
        case ST_LOSS_POWER: {
            const double log_right = log_sigmoid(o), wrong = exp(log_sigmoid(-o));
            *derivative = -(s[0] == 0 ? 1 : exp(s[0] * log_right)) * wrong;
            return s[0] == 0 ? -log_right : -expm1(s[0] * log_right) / s[0];
        }
        case ST_LOSS_WRONG: {
            const double log_right = log_sigmoid(o), right = exp(log_right), wrong = exp(log_sigmoid(-o));
            *derivative = -wrong * (s[0] + s[1] * right);
            return (s[0] == 0 && isinf(log_right) ? 0 : -s[0] * log_right) + s[1] * wrong;
        }
        case ST_LOSS_SYMMETRIC: return symmetric(s[0], s[1], o, derivative);
        case ST_LOSS_RELAXATION: {
            if (o >= s[2]) {
                *derivative = 0;
                return 0;
            }
            const double log_right = log_sigmoid(o), log_wrong = log_sigmoid(-o);
            *derivative = s[0] * exp(log_right) - (1 - s[0]) * exp(log_wrong);
            return -(1 - s[0]) * log_right - s[0] * log_wrong - s[1];
        }
        default: *derivative = 1; return o;
    }
}
