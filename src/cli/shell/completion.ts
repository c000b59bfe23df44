/** The scripts of three shells. Each only asks `cenote __complete WORDS…`, so that what is proposed is known in one place. */
import { CenoteError } from '../../base/errors.ts';
import { defineCommand, one } from '../command.ts';
import { closest } from '../suggest.ts';

// `__complete` answers one proposal a line; `:file` and `:directory` as the first leave it to the shell, besides what follows.
const scripts: Readonly<Record<string, string>> = {
  bash: `_cenote() {
  local IFS=$'\\n' current words prefix=
  current="\${COMP_LINE:0:COMP_POINT}"
  words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  # bash cuts words at = and :, cenote does not.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    local cur cword
    _get_comp_words_by_ref -n =: -w words -i cword cur 2>/dev/null && words=("\${words[@]:1:cword}") && current="$cur"
    prefix="\${current%"\${COMP_WORDS[COMP_CWORD]}"}"
  fi
  local proposals
  proposals=($("\${COMP_WORDS[0]}" __complete "\${words[@]}" 2>/dev/null))
  case "\${proposals[0]}" in
    :file) COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}") "\${proposals[@]:1}"); compopt -o filenames 2>/dev/null ;;
    :directory) COMPREPLY=($(compgen -d -- "\${COMP_WORDS[COMP_CWORD]}")); compopt -o filenames 2>/dev/null ;;
    *) COMPREPLY=("\${proposals[@]#"$prefix"}"); [[ "\${COMPREPLY[0]}" == *: ]] && compopt -o nospace 2>/dev/null ;;
  esac
}
complete -F _cenote cenote ./cenote`,
  zsh: `#compdef cenote
_cenote() {
  local -a proposals
  proposals=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case "\${proposals[1]}" in
    :file) _files; (( \${#proposals} > 1 )) && compadd -S '' -- "\${(@)proposals[2,-1]}" ;;
    :directory) _files -/ ;;
    *) compadd -- "\${proposals[@]}" ;;
  esac
}
if [ "$funcstack[1]" = "_cenote" ]; then _cenote "$@"; else compdef _cenote cenote ./cenote; fi`,
  fish: `function __cenote_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l proposals ($words[1] __complete $words[2..-1] 2>/dev/null)
  switch "$proposals[1]"
    case :file
      __fish_complete_path (commandline -ct)
      printf '%s\\n' $proposals[2..-1]
    case :directory
      __fish_complete_directories (commandline -ct)
    case '*'
      printf '%s\\n' $proposals
  end
end
complete -c cenote -f -a '(__cenote_complete)'`,
};

export const command = defineCommand({
  detail: [
    'bash: cenote completion bash > /etc/bash_completion.d/cenote',
    'zsh:  cenote completion zsh > "${fpath[1]}/_cenote"',
    'fish: cenote completion fish > ~/.config/fish/completions/cenote.fish',
  ].join('\n'),
  args: { shell: one('SHELL', Object.keys(scripts)) },
  flags: {},
  examples: ['completion bash'],
  run: async ({ args, flags }, context) => {
    const script = Object.hasOwn(scripts, args.shell) ? scripts[args.shell] : undefined;
    if (script === undefined) {
      const near = closest(args.shell, Object.keys(scripts));
      throw new CenoteError('invalid_argument', `SHELL: ${JSON.stringify(args.shell)} is not one of ${Object.keys(scripts).join(', ')}`, {
        advice: near && `did you mean ${near}?`,
      });
    }
    if (flags.json) context.output.json({ shell: args.shell, script });
    else context.output.line(script);
  },
});
